"""The machine: devices, the cache folder, processes, signals, and files and text that come from outside."""
