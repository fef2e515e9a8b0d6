//! cgroup v1, v2 and hybrid: create, limit, freeze, stats, OOM, delete.
