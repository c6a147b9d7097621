"""`paytechuz_doctor`, `paytechuz_statement` and `paytechuz_expire`."""
