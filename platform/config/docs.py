from django.http import HttpRequest, HttpResponse


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("docs")


def problems(request: HttpRequest) -> HttpResponse:
    return HttpResponse("problems")


def document(request: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse("document")
