from django import forms

from .models import Entry


class EntryForm(forms.ModelForm):
    class Meta:
        model = Entry
        fields = ["name", "message"]
        error_messages = {
            "name": {"required": "Please tell us your name.", "max_length": "The name has more than 40 characters."},
            "message": {"required": "Please write a message.", "max_length": "The message has more than 600 characters."},
        }

    def clean_message(self):
        return self.cleaned_data["message"].replace("\r", "")

    def problem(self):
        """The first thing that is wrong, or nothing."""
        return next((text for texts in self.errors.values() for text in texts), None)
