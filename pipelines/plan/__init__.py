"""gld2 plan: the time, machines and dollars that preparing, training and scoring take.

In the order of the data's way:

  command        the command line
  options        flags
  source_counts  counts photos, archives and bytes of a source
  calibrate      measures what a photo costs on this machine
  calibration    reads and writes the measured cost
  rates          reads prices and assumptions
  networks       input sizes and multiply-adds of networks
  stage_costs    computes the cost and time of each stage
  pricing        computes the speed of training and the bill
  markdown       renders the plan
"""
