"""gld2 report: a web page about a prepared dataset.

In the order of the data's way:

  command         the command line
  options         flags
  selection       selects photos for contact sheets from the decisions
  contact_sheets  draws the contact sheets
  page            counts, plots and the page
"""
