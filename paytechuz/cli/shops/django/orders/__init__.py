"""What the shop sells, and how an order is paid."""
