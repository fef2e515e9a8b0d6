//! A container's output: record formats, rotation, following and tailing; the hand-over of an attached client.
