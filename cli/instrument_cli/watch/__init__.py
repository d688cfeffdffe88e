"""The live view in the terminal: what `metrics watch` shows.

feed         follows the store and works figures out, in threads of its own
rows         one query of the list, and the order of the list
query_list   the newest queries, with a cursor
drawing      figures and the heat map as coloured text
chart        the widgets that show them
one_query    a query whole
screen       the application: keys, what is shown where
plain_lines  a line for each query, where the output is no terminal
"""
