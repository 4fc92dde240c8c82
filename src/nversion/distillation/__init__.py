"""Distillation: the program's labels, the student that learns from them, and its baseline."""

from nversion.distillation.student import ROLES, Distilled, Role, distil, recipes, role_seed
from nversion.distillation.teacher import teacher_labels

__all__ = ["ROLES", "Distilled", "Role", "distil", "recipes", "role_seed", "teacher_labels"]
