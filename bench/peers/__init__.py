"""What stands beside Dais: peers that are really run, and bare loops that show what the machine can do."""
