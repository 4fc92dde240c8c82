"""How far the neurons of a layer can move together."""
