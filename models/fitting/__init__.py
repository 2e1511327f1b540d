"""From dense to Lego: banks, masks and coefficients fitted to the filters of a trained network."""
