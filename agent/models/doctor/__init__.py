"""What `greenroom doctor --model` looks at."""
