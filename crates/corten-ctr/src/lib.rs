//! ctr's commands.
