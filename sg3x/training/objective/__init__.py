"""Everything that training minimises, measures and moves: one function a term, each phase of a step once."""
