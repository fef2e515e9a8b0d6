//! One container's processes: task service, output hub, reaping, OOM, exit events.
