from django.db import models


class Entry(models.Model):
    name = models.CharField(max_length=40)
    message = models.TextField(max_length=600)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "entries"

    def __str__(self):
        return f"{self.name}, {self.created_at:%d %B %Y}"
