"""What happens, in which order: thin Prefect flows over the tasks."""
