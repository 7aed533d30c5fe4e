class EntriesController < ApplicationController
  def index
    read_page
    @draft = Entry.new(name: session[:name])
    respond_to do |format|
      format.html
      format.json { render json: { entries: @entries, page: @number, pages: @pages, total: @total } }
    end
  end

  def create
    entry = Entry.new(params.permit(:name, :message))
    session[:name] = entry.name
    # After a POST a redirect: reloading the page must not write the entry again.
    return redirect_to root_path(anchor: "entry-#{entry.id}"), status: :see_other if entry.save

    read_page
    @draft = entry
    render :index, status: :unprocessable_entity
  end

  private

  # A number outside of the book is brought back into it.
  def read_page
    @total = Entry.count
    @pages = Entry.pages
    @number = params[:page].to_i.clamp(1, @pages)
    @entries = Entry.page(@number)
  end
end
