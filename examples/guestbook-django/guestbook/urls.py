from django.contrib import admin
from django.urls import path

from entries import views

urlpatterns = [
    path("", views.book),
    path("entries", views.sign),
    path("api/entries", views.entries),
    path("up", views.up),
    path("admin/", admin.site.urls),
]
