"""`dais job`."""
