"""What an error of the vendor's tools means."""
