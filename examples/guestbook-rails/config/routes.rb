Rails.application.routes.draw do
  root "entries#index"
  resources :entries, only: :create
  get "api/entries", to: "entries#index", defaults: { format: :json }
  get "up", to: "health#show"
end
