//! Which subnets networks have, and which addresses containers in them.
