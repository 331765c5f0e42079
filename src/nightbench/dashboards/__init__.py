"""Dashboards made from the history: they can be thrown away and made again."""
