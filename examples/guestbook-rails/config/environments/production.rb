Rails.application.configure do
  config.cache_classes = true
  config.eager_load = true
  config.consider_all_requests_local = false
  config.log_level = :info
  # db/schema.rb belongs to the project: a server does not write it.
  config.active_record.dump_schema_after_migration = false
end
