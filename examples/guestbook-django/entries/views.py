from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from .forms import EntryForm
from .models import Entry

PER_PAGE = 10


def read_page(request):
    """The newest first; a number outside of the book is brought back into it."""
    return Paginator(Entry.objects.all(), PER_PAGE).get_page(request.GET.get("page"))


@require_safe
def book(request):
    response = render(request, "entries/book.html", {"page": read_page(request), "form": EntryForm()})
    response["Cache-Control"] = "no-cache"
    return response


@require_POST
def sign(request):
    form = EntryForm(request.POST)
    if not form.is_valid():
        return render(request, "entries/book.html", {"page": read_page(request), "form": form}, status=422)
    # After a POST a redirect: reloading the page must not write the entry again.
    response = HttpResponseRedirect(f"/#entry-{form.save().id}")
    response.status_code = 303
    return response


@require_safe
def entries(request):
    page = read_page(request)
    listed = [
        {"id": one.id, "name": one.name, "message": one.message, "created_at": f"{one.created_at:%Y-%m-%dT%H:%M:%SZ}"}
        for one in page
    ]
    shown = {"entries": listed, "page": page.number, "pages": page.paginator.num_pages, "total": page.paginator.count}
    return JsonResponse(shown)


@require_safe
def up(request):
    Entry.objects.count()
    return HttpResponse("up\n", content_type="text/plain")
