"""What starts containers. Engines know the contract, and neither database nor jobs."""
