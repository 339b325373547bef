"""From notebooks to pages and to paper: run them, time them, print them."""
