"""`gld2 compare`: trains several networks under the same budget, and makes a table of them.

command: the flags, and the order of the steps.
runs: plans the runs of a comparison from its flags.
time_budget: finds how many epochs of a run fit into a number of minutes.
subprocesses: runs a module of this package in a child process.
kaggle_test: measures a network on the test split by Kaggle's solution file.
throughput: measures a network's size, and its speed on one fixed batch.
evaluation: measures the quality and the speed of the trained networks.
rows: a row of the table, and the paper's figures.
chart: draws the table.
table: writes the table as CSV and Markdown, and its three files.
"""
