class Entry < ApplicationRecord
  PER_PAGE = 10

  before_validation { self.message = message.to_s.delete("\r").strip }
  before_validation { self.name = name.to_s.strip }

  validates :name, presence: { message: "Please tell us your name." },
                   length: { maximum: 40, message: "The name has more than 40 characters." }
  validates :message, presence: { message: "Please write a message." },
                      length: { maximum: 600, message: "The message has more than 600 characters." }

  # The newest first.
  scope :page, ->(number) { order(id: :desc).limit(PER_PAGE).offset((number - 1) * PER_PAGE) }

  def self.pages
    [1, (count / PER_PAGE.to_f).ceil].max
  end

  def as_json(*)
    { id: id, name: name, message: message, created_at: created_at.iso8601 }
  end
end
