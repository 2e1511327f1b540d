"""A static page that runs a converted file in the browser of a phone, proves it and measures it."""
