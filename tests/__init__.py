"""The suite; a package, so that no other distribution's tests take its name."""
