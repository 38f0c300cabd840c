"""Convoy: from labelled images to a champion that you can trace, again and again."""
