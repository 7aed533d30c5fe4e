# Where it listens is said on the command line.
threads 5, 5
environment ENV.fetch("RAILS_ENV", "development")
