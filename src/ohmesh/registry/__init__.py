"""What is known of the fleet and how it is chosen from: fields, and the one selector language over them. Pure."""
