"""Augmentation of whole batches on their device, with a draw of its own for each image.

`convoy.augmentation.composition.Augmentation` is the door. Nothing is imported here, so that
`convoy.settings` reads `convoy.augmentation.settings` without loading torch, and so that the
operations count in the keys of training alone.
"""
