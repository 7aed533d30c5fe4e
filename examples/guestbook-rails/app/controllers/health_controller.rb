class HealthController < ApplicationController
  def show
    Entry.count
    render plain: "up\n"
  end
end
