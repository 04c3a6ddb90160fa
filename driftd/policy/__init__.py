"""What policy objects mean: their canonical forms (`kinds`), who can reach whom (`reach`), what Falco would see."""
