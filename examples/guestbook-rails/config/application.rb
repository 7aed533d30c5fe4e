require_relative "boot"

# Only the parts of Rails that a guestbook needs: it starts in half the time.
require "rails"
require "active_record/railtie"
require "action_controller/railtie"
require "action_view/railtie"

Bundler.require(*Rails.groups)

module Guestbook
  class Application < Rails::Application
    config.load_defaults 6.1
    # What is printed is in `terrace logs`.
    config.logger = ActiveSupport::TaggedLogging.new(ActiveSupport::Logger.new($stdout))
    config.log_tags = [:request_id]
    # The web server answers for the site's own names only.
    config.hosts.clear
  end
end
