class CreateEntries < ActiveRecord::Migration[6.1]
  def change
    create_table :entries do |table|
      table.string :name, limit: 40, null: false
      table.text :message, null: false
      table.datetime :created_at, null: false
    end
  end
end
