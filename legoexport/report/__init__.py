"""Report: one self-contained HTML file about a converted network, for people to pass on."""
