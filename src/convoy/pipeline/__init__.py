"""What each task of the pipeline does; the flow adds order, retries and schedules.

Nothing here imports torch: training, evaluation and registration are programs of their own.
"""
