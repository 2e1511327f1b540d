"""Training: pictures and a recipe in, a checkpoint that ``convert`` reads out."""
