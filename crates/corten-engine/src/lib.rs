//! The Docker model: containers, images, logs, restart policy, events; its REST routes.
