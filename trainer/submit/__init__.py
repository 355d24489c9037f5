"""`gld2 submit`: runs `gld2 train` on a Cloud TPU or on Vertex AI.

options: the flags and help texts.
command: checks the flags of both commands, and sends the request.
upload: uploads the files that a TPU VM needs, and reads those that it writes.
startup: writes the script that each worker of a TPU slice runs when it boots, from startup.sh.
tpu_vm: runs the trainer on a TPU VM as a queued resource.
vertex: runs the trainer as a Vertex AI custom job.
follow: starts a run and follows it to its end, with retries of failed requests.
"""
