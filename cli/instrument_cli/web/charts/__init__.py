"""Charts as SVG, drawn on the server: geometry lies in attributes, colour and type in the style sheet."""
