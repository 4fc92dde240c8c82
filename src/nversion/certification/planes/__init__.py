"""Linear functions above and below one nonlinear layer, and the ball that its neurons share."""
