"""One file a command: arguments, options and help. It imports its verb when it runs, so that help loads no NumPy."""
