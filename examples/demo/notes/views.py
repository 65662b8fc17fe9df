"""Pages beside the admin."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
def show_request(request: HttpRequest, rest: str = "") -> JsonResponse:
    """Tell what Django sees of the request; /api/request tells what FastAPI sees."""
    return JsonResponse(
        {
            "script_name": request.META["SCRIPT_NAME"],
            "path_info": request.path_info,
            "url": request.build_absolute_uri(),
            "headers": dict(request.headers),
        }
    )
