"""How a step's phases are computed: the whole batch, microbatch by microbatch, or in an order that no device decides."""
